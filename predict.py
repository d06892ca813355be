"""Predict the test set: `python predict.py ckpt_dir=outputs/<exp_name>`. Program: seti/predict.py."""

from seti.predict import main

if __name__ == "__main__":
    main()
