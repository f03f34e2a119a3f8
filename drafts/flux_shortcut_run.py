import time, os, torch, sys
torch.set_num_threads(2)
from safetensors.torch import save_file
import companion.models.flux_shortcut_scenes as s
import companion.models.stable_diffusion_scenes as sd
from companion.models import make_weights
W="/tmp/w/fx/"
orig=s.train; losses=[]
sd.training_set=lambda n,seed: torch.load("/tmp/w/sd4/set_64000_0.pt")
def evaluate(model):
    m=s.measure(model) if False else {}
    save_file({a:b.contiguous() for a,b in model.state_dict().items()},W+"now2.safetensors")
    from companion.image.flux.packed import Told
    from companion.metrics.scene_reader import score
    out=""
    for name,asked in sd.asked_for(40).items():
        for k in (1,2,4):
            p=s.together(Told(model,steps=k))
            d=p.text_to_image([x.caption() for x in asked],torch.Generator().manual_seed(1),scale=1.0,steps=k)
            out+=f"{name}{k}={score(d,asked).shares()['all']:.2f} "
    print(time.strftime("%H:%M:%S"),f"{time.process_time():.0f}s",out,flush=True)
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
print(make_weights("flux_shortcut_scenes",checkpoint=W+"short.ckpt"))
