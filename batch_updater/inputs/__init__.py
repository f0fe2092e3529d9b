"""Read sheets: from a file of any format to rows of text. The only room that imports pandas."""
