"""What follows an answer, before its edit has a record.

`examiner` looks at pictures: checks, and the finished picture, in threads. `answers` decides: the
edit's record, or another request.
"""
