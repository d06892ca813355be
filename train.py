"""Train one configuration: `python train.py -m fold=0,1,2,3,4 model=effnet_b1`. Program: seti/train.py."""

from seti.train import main

if __name__ == "__main__":
    main()
