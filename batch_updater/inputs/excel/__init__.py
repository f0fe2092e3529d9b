"""Workbooks: .xlsx and .xlsm, with or without a password, .xls, .ods."""
