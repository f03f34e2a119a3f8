import torch,sys,time
torch.set_num_threads(1)
from safetensors.torch import load_file
import companion.models.stable_diffusion_scenes as s
from companion.models import autoencoder_scenes
from companion.data.scenes import scenes
from companion.metrics.scene_reader import score
m=s.build(); m.load_state_dict(load_file(sys.argv[1])); m.eval()
p=s.together(m)
a=scenes(16,torch.Generator().manual_seed(31),split="train"); b=scenes(16,torch.Generator().manual_seed(32),split="test")
caps=a.captions+b.captions
t=time.process_time()
d=p.text_to_image(caps,torch.Generator().manual_seed(1))
print(time.process_time()-t,d.shape,d.min(),d.max()); print(score(d[:16],a.scenes).shares(),score(d[16:],b.scenes).shares())
import matplotlib; matplotlib.use("Agg"); import matplotlib.pyplot as plt
f,ax=plt.subplots(4,8,figsize=(16,9.4))
for k,x in enumerate(ax.flat):
    x.imshow((d[k].permute(1,2,0).clamp(-1,1)+1)/2 if d.min()<-.2 else d[k].permute(1,2,0).clamp(0,1)); x.axis("off"); c=caps[k]; x.set_title("\n".join([c[:30],c[30:60]]),fontsize=7)
f.tight_layout(); f.savefig(sys.argv[2],dpi=70)
z=autoencoder_scenes.load().encode(scenes(200,torch.Generator().manual_seed(3)).images); print(z.mean((0,2,3)),z.std((0,2,3)))
