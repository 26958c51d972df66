"""Charts: one function for each picture, from the rows of a table to an Altair chart and the sentence that it shows.

What belongs here: what is drawn, in which words, and what it looks like. What does not: computing (`metrics`), SQL, files, pages.
A figure carries its rows, so that every picture has a table with the same numbers. The words of a definition come from `registry`.
"""
