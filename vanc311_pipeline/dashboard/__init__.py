"""The dashboard: pages for analysts, journalists and residents, from the published file and nothing else.

What belongs here: what the reader chose, what a page shows of it, templates and styles. What does not: charts (`charts`), the
questions to the file (`reading`), and any number that is not in it.
"""
