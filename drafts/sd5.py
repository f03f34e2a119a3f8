"""The recipe; resumes from sd5.ckpt; keeps the training set on disk."""
import time, os, torch
torch.set_num_threads(1)
from safetensors.torch import save_file
import companion.models.stable_diffusion_scenes as s
from companion.models import make_weights
from companion.data.scenes import scenes
from companion.metrics.scene_reader import score
orig, ts = s.train, s.training_set
W="/tmp/w/sd4/"
seen=scenes(48,torch.Generator().manual_seed(21)); held=scenes(48,torch.Generator().manual_seed(21),split="test")
k=[0]; losses=[]
def cached(n,seed):
    f=f"{W}set_{n}_{seed}.pt"
    if os.path.exists(f): return torch.load(f)
    t=time.process_time(); x=ts(n,seed); torch.save(x,f); print("set",time.process_time()-t,flush=True); return x
s.training_set=cached
def evaluate(model):
    save_file({a:b.contiguous() for a,b in model.state_dict().items()},W+"sd5.safetensors")
    k[0]+=1
    if k[0]%4==0:
        p=s.together(model); o=""
        for n,a in (("seen",seen),("held",held)):
            d=p.text_to_image(a.captions,torch.Generator().manual_seed(1),steps=16)
            o+=n+" "+" ".join(f"{q}={v:.2f}" for q,v in score(d,a.scenes).shares().items())+"  "
        print(time.strftime("%H:%M:%S"),f"{time.process_time():.0f}s",o,flush=True)
    return {}
def wrapped(l):
    def f(m,b,g):
        v=l(m,b,g); losses.append(v.item())
        if len(losses)%100==0: print(time.strftime("%H:%M:%S"),f"{time.process_time():.0f}s +{len(losses)}",f"{sum(losses[-100:])/100:.4f}",flush=True)
        return v
    return f
def go(m,l,d,h,checkpoint):
    return orig(m,wrapped(l),d,h,evaluate=evaluate,evaluate_every=250,checkpoint=checkpoint,checkpoint_every=250)
s.train=go
print(make_weights("stable_diffusion_scenes",checkpoint=W+"sd5.ckpt"))
