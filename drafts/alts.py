ALTLADDER="Two panels of horizontal bars, one bar for each rung."
ALTTRUNC="Two panels over the limit t. The blue curves fall to zero below t = 1; the orange ones stay nearly level."
ALTTRUNCATED="Three rows of twelve colour pictures. The first two show the same stacks of digits; in the third the black ground has turned grey and the digits blur into pale clouds."
