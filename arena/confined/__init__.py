"""Programs for code that cannot be trusted: processes of their own that may do and take little.

Program files import nothing of this project; `confinement` is found beside them by its path.
"""
