def register(folder):
    pass
