"""The Models tab."""


class ModelsTab:
    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic

    def setParameterNode(self, parameters):
        self._parameters = parameters
        self.update()

    def update(self):
        pass

    def sceneClosing(self):
        pass

    cleanup = sceneClosing
