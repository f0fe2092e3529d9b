"""Workbooks of every kind: .xlsx, .xls, .ods, with or without a password."""
