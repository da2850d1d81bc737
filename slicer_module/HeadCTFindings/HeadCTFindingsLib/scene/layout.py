"""The router map as a view of its own beside the Red slice."""

from __future__ import annotations

from typing import Any

import slicer

TAG = "HeadCTRouterMap"
LAYOUT_ID = 5075  # any number that no layout of Slicer has

_LAYOUT = f"""
<layout type="horizontal" split="true">
 <item splitSize="700">
  <view class="vtkMRMLSliceNode" singletontag="Red">
   <property name="orientation" action="default">Axial</property>
   <property name="viewlabel" action="default">R</property>
   <property name="viewcolor" action="default">#F34A33</property>
  </view>
 </item>
 <item splitSize="300"><{TAG}></{TAG}></item>
</layout>
"""


class MapLayout:
    """Registers a widget as view once, shows the layout, and gives back the layout that was there before."""

    def __init__(self, widget: Any) -> None:
        self._widget = widget
        self._factory: Any | None = None
        self._before: int | None = None

    @property
    def shown(self) -> bool:
        """Whether the layout is this one."""
        manager = slicer.app.layoutManager()
        return manager is not None and manager.layout == LAYOUT_ID

    def show(self) -> None:
        """Puts the map beside the slice."""
        manager = slicer.app.layoutManager()
        if manager is None or self.shown:
            return
        if self._factory is None:
            self._factory = slicer.qSlicerSingletonViewFactory()  # kept: without a reference it is gone
            self._factory.setTagName(TAG)
            self._factory.setWidget(self._widget)
            manager.registerViewFactory(self._factory)
            manager.layoutLogic().GetLayoutNode().AddLayoutDescription(LAYOUT_ID, _LAYOUT)
        self._before = manager.layout
        manager.setLayout(LAYOUT_ID)

    def restore(self) -> None:
        """The layout that was there before, unless somebody chose another one since."""
        if self.shown and self._before is not None:
            slicer.app.layoutManager().setLayout(self._before)
        self._before = None

    def remove(self) -> None:
        """Restores and takes the view out of the layout manager."""
        self.restore()
        if self._factory is not None:
            slicer.app.layoutManager().unregisterViewFactory(self._factory)
            self._factory = None
