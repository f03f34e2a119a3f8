"""Run the lesson's code cells with figures saved; budget and names from env."""
import re,sys,time,os
import matplotlib; matplotlib.use("Agg")
import matplotlib.pyplot as plt
src=open("/tmp/w/fl/lesson.py").read()
cells=re.split(r"\n(?=# %%)", "\n"+src)
ns={"__name__":"__main__"}; k=[0]
pre=sys.argv[1]
def save(*a,**b):
    plt.savefig(f"/tmp/w/fl/{pre}_{k[0]}.png",dpi=110,bbox_inches="tight"); k[0]+=1; plt.close("all")
plt.show=save
if len(sys.argv)>2: pass
for i,c in enumerate(cells):
    c=c.strip("\n")
    if c.startswith("# %% [markdown]") or not c.startswith("# %%"): continue
    if "remove-cell" in c.split("\n")[0]: continue
    body="\n".join(c.split("\n")[1:])
    if 'BUDGET = "laptop"' in body: body=body.replace('"laptop"',f'"{os.environ.get("B","laptop")}"').replace("SEED = 0",f'SEED = {os.environ.get("S","0")}')
    t=time.process_time()
    try: exec(compile(body,f"cell{i}","exec"),ns)
    except Exception as e:
        import traceback; traceback.print_exc(limit=4); print("FAILED CELL",i,flush=True)
    if plt.get_fignums(): save()
    d=time.process_time()-t
    if d>1: print(f"   [cell {i}: {d:.1f}s]",flush=True)
print("total",time.process_time())
