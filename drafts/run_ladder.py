import sys,time,torch
torch.set_num_threads(1)
from pathlib import Path
from companion.image.gan.ladder import *
table=RunTable(Path(sys.argv[1]),Climb,("x",)); st=Stacks.small(digits("train"))
for rung in sys.argv[2:]:
    t=time.process_time(); p=climb(rung,RATES[0],0,st); s=time.process_time()-t
    table.add(Climb(rung,RATES[0],0,ROUNDS,*measured(p.draw(DRAWN,torch.Generator().manual_seed(5)),st),round(s,1)))
