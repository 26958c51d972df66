"""The dashboard: pages for analysts, journalists and residents, from the published file and nothing else.

Not here: charts (`charts`), the questions to the file (`reading`), and any number that is not in it.
"""
