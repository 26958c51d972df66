"""Charts: one function for each picture, from the rows of a table to a Vega-Lite chart, the sentence that it shows, and those rows."""
