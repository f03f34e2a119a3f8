import torch,sys
torch.set_num_threads(1)
from safetensors.torch import load_file
import companion.models.stable_diffusion_scenes as s
from companion.data.scenes import scenes
from companion.metrics.scene_reader import score
m=s.build(); m.load_state_dict(load_file("/tmp/w/sd4/sd5.safetensors")); m.eval(); p=s.together(m)
a=scenes(96,torch.Generator().manual_seed(77),split="test")
d=p.text_to_image(a.captions,torch.Generator().manual_seed(1))
r=score(d,a.scenes)
from collections import Counter
ok=r.things
kinds=Counter(); good=Counter(); bad=[]
for i,sc in enumerate(a.scenes):
    n=len(sc.things); names={t.name for t in sc.things}; k=("single" if n==1 else "same"+str(n) if len(names)==1 else "pair")
    shapes=sum(len(x.split())>1 and x.split()[0] in "red green blue yellow orange purple pink black white brown".split() for x in names); k+=f" shapes{shapes}"
    kinds[k]+=1; good[k]+=bool(ok[i])
    if not ok[i]: bad.append(i)
print(r.shares()); print({k:f"{good[k]}/{kinds[k]}" for k in kinds})
for w in (1.5,5.0):
    d2=p.text_to_image(a.captions,torch.Generator().manual_seed(1),scale=w); print(w,score(d2,a.scenes).shares())
import matplotlib; matplotlib.use("Agg"); import matplotlib.pyplot as plt
f,ax=plt.subplots(4,8,figsize=(16,9.4))
idx=bad[:20]+[i for i in range(96) if ok[i]][:12]
for k,x in zip(idx,ax.flat):
    x.imshow((d[k].permute(1,2,0).clamp(-1,1)+1)/2); x.axis("off"); c=a.captions[k]; x.set_title(("X " if not ok[k] else "")+"\n".join([c[:30],c[30:60]]),fontsize=7)
f.tight_layout(); f.savefig("/tmp/w/sd4/err.png",dpi=70)
