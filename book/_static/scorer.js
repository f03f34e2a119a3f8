// In a search, what the lessons and chapters say comes before the pages of the reference.
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  score: (found) => found[4] + (found[0].startsWith("book/3_") ? 50 : 0),
};
