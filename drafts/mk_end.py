import nbformat
nb=nbformat.read('/tmp/w/gan4/old.ipynb',4); s=nb.cells[71].source
def r(a,b):
    global s
    assert s.count(a)==1,(a,s.count(a)); s=s.replace(a,b)
r("## What goes wrong",open('/tmp/w/gan4/t_walkend.md').read().strip()+"\n\n## What goes wrong")
r("Count modes; look; measure precision and recall.","Look; count modes; measure a distance.\n\n**A number that cannot fail.** Modes, precision and a judge's confidence pass pictures that are no digits. The test: ask them about a smear, or noise, first.")
r("R3GAN (2025) compared itself with diffusion models on small pictures of faces and things {cite:p}`huang2025r3gan`.","R3GAN (2025) compared itself with diffusion models, on pictures of 32 to 256 pixels {cite:p}`huang2025r3gan`.")
r("Our shipped generator has half a million numbers and saw pictures of 16 × 16 pixels; the judge is one network trained on the same kind of digits. Published counts of modes use 26,000 draws of 28 × 28 or 32 × 32 pixels {cite:p}`srivastava2017veegan`, so ours cannot be set beside them.",
"Our shipped generator has half a million numbers and saw pictures of 16 × 16 pixels; the judge is one network trained on the same kind of digits. Published counts of modes use 26,000 draws, larger pictures and a classifier {cite:p}`srivastava2017veegan`, so ours cannot be set beside them.")
i=s.index("## Summary"); j=s.index("## Exercises")
s=s[:i]+open('/tmp/w/gan4/t_summary.md').read().strip()+"\n\n"+s[j:]
i=s.index("```{exercise}\n:label: ex-gan-3"); 
s=s[:i]+open('/tmp/w/gan4/t_ex.md').read()
open('/tmp/w/gan4/t_end.md','w').write(s)
