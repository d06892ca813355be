def test_x(run, small, outputs):
    a = run("train.py", "-m", *small, "fold=0,7")
    print(a.out, a.err)
    assert 0
def test_y(run, small, outputs):
    a = run("train.py", *small, "fold=7")
    print(a)
    a = run("train.py", *small, "fold=1")
    print(a)
    assert 0
