cd /work/main; . .venv/bin/activate
python3 /tmp/w/fl/mk.py
jupytext --from py:percent --to ipynb -o book/3_06_image/flux.ipynb /tmp/w/fl/lesson.py 2>&1 | tail -1
python - <<'P'
import nbformat,json
p='book/3_06_image/flux.ipynb'; nb=nbformat.read(p,4)
ref=nbformat.read('book/3_06_image/stable_diffusion.ipynb',4)
nb.metadata=ref.metadata
for i,c in enumerate(nb.cells): c['id']=f'cell-{i:02d}'
nb.nbformat_minor=5
open(p,'w').write(json.dumps(nb,indent=1,ensure_ascii=False)+"\n")
P
ruff format -q book/3_06_image/flux.ipynb; ruff check book/3_06_image/flux.ipynb | tail -30
