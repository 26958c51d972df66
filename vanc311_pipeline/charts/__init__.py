"""Charts: one function for each picture, from the rows of a table to an Altair chart, the sentence that it shows, and those rows."""
