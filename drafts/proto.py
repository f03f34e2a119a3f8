import torch
torch.set_num_threads(1)
from companion.image.gan.ladder import *
from companion.image.gan.latents import truncated, walk
from companion.image.gan.reading import read, features
from companion.metrics.precision_recall import precision_recall
from companion.metrics.nearest import nearest
from companion.data.stacked import channels
from companion.models import gan_stacked
from safetensors.torch import load_file
import sys
G=gan_stacked.build(); G.load_state_dict(load_file(sys.argv[1])); G.eval()
st=Stacks.small(digits("train")); held=Stacks.small(digits("test"))
gn=lambda k: torch.Generator().manual_seed(k)
with torch.no_grad():
    z=torch.randn(10000,LATENT,generator=gn(1)); D=torch.cat([G(p) for p in z.split(500)])
    print(measured(D,st),read(D[:1000]).sure)
    data=features(st.draw(500,gn(10))[0])
    pr=lambda x: (lambda p:(round(p.precision,2),round(p.recall,2)))(precision_recall(features(x.clamp(-1,1)),data))
    print("all",pr(D[:500]),"held",pr(held.draw(500,gn(12))[0]))
    for t in (4.,1.5,1.,.7,.5):
        z=truncated(500,LATENT,t,gn(11)); print(t,pr(G(z)),"stretched",pr(G(z/z.std())))
    a,b=torch.randn(2,500,LATENT,generator=gn(14))
    mid=torch.stack([walk(x,y,3)[1] for x,y in zip(a,b)]); print("mid circle",pr(G(mid)),"mid line",pr(G((a+b)/2)), [round(cnn_fid(grey(G(v).clamp(-1,1)),grey(st.draw(1000,gn(2))[0]))) for v in (mid,(a+b)/2)])
    h=held.draw(500,gn(3))[0]; dr=D[:500]
    for n,x in (("drawn",dr),("held",held.digits.images)):
        c=channels(x) if n=="drawn" else x
        d=nearest(c.clamp(-1,1),st.digits.images).distance; print(n,float(d.median()),float(d.quantile(.01)))
    g3=gn(9)
    def smear(flat,n):
        L=torch.linalg.cholesky(torch.cov(flat.T)+1e-4*torch.eye(256)); return flat.mean(0)+torch.randn(n,256,generator=g3)@L.T
    per=torch.stack([smear(st.digits.images[st.digits.labels==c].flatten(1),600).clamp(-1,1) for c in range(10)])
    ps=per[torch.randint(10,(5000,3),generator=g3),torch.randint(600,(5000,3),generator=g3)].view(5000,3,16,16)
    print("per class",measured(ps,st),pr(ps[:500]),read(ps[:1000]).sure)
    import matplotlib; matplotlib.use("Agg"); import matplotlib.pyplot as plt
    from companion.plotting import show_images
    rows=[held.draw(12,gn(5))[0],channels(held.draw(4,gn(5))[0]).expand(-1,3,-1,-1),D[:24],channels(D[:8]).expand(-1,3,-1,-1),channels(ps[:4]).expand(-1,3,-1,-1)]
    zt=truncated(12,LATENT,.6,gn(13)); rows+=[G(truncated(12,LATENT,4.,gn(13))),G(zt),G(zt/zt.std())]
    a,b=torch.randn(2,1,LATENT,generator=gn(15))
    w=torch.linspace(0,1,12)[:,None]; rows+=[G(walk(a[0],b[0],12)),G((1-w)*a+w*b)]
    show_images(torch.cat(rows).clamp(-1,1),12,rows=["held","apart","drawn","","apart","","perclass","t4","t.6","stretch","circle","line"]); plt.savefig("/tmp/w/gan4/proto.png",dpi=100)
