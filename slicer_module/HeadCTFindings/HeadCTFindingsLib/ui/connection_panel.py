"""The server: where it is, who reads, whether it answers, and what to do where it does not."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from ..app.connection import Connection, ConnectionState
from .build import BAD, BUSY, GOOD, WARN, button, coloured, column, fill, label, row, show_text

_DOTS = {"good": GOOD, "warning": WARN, "bad": BAD}


class ConnectionPanel:
    """`status_line` is for the top of the module, `widget` for the section with address, token, reader and model."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        preferences = connection.preferences
        self.status_line = label()
        self.status_line.setTextFormat(qt.Qt.RichText)
        self.address = qt.QLineEdit(preferences["server"])
        self.address.setPlaceholderText("http://127.0.0.1:8000")
        self.token = qt.QLineEdit(preferences["token"])
        self.token.setEchoMode(qt.QLineEdit.Password)
        self.token.setPlaceholderText(_("only where the server asks for one"))
        self.reader = qt.QLineEdit(preferences.reader)
        self.reader.setToolTip(_("The name under which your calls are stored; with a token, it is the token's"))
        self.model = qt.QComboBox()
        self.test_button = button(_("Test connection"), _("Connects step by step, and says which step fails"), self._test)
        self._problem = label()
        self._problem.setTextFormat(qt.Qt.RichText)
        self._facts = label()
        form = qt.QFormLayout()
        for text, field in (
            (_("Address"), self.address),
            (_("Token"), self.token),
            (_("Reader"), self.reader),
            (_("Model"), self.model),
        ):
            form.addRow(text, field)
        self.widget = column(form, row(self.test_button, 1), self._problem, self._facts)
        self.address.returnPressed.connect(self._test)
        self.token.returnPressed.connect(self._test)
        self.reader.editingFinished.connect(self._reader_named)
        self.model.currentIndexChanged.connect(self._model_chosen)
        connection.changed.connect(self.show)
        self.show(connection.state)

    def show(self, state: ConnectionState) -> None:
        """What is known of the server."""
        status = state.status
        self.status_line.setText(_status_line(state))
        self.test_button.setEnabled(state.phase != "connecting")
        failed = state.phase == "failed" or state.lost
        show_text(self._problem, f"<b>{coloured(state.problem, BAD)}</b><br>{state.remedy}" if failed else "")
        show_text(self._facts, "\n".join(status.lines) if status is not None else "")
        given = status is not None and bool(status.reader)
        self.reader.setEnabled(not given)
        if given:
            self.reader.setText(status.reader)
        models = status.models if status is not None else ()
        fill(self.model, [(each.name, each.title) for each in models], state.model.name if state.model is not None else "")
        self.model.setEnabled(bool(models))

    def _test(self, *_arguments: Any) -> None:
        self._connection.connect(self.address.text, self.token.text)
        self.address.setText(self._connection.state.address)

    def _reader_named(self, *_arguments: Any) -> None:
        self._connection.name_reader(self.reader.text)

    def _model_chosen(self, *_arguments: Any) -> None:
        self._connection.choose_model(str(self.model.currentData))


def _status_line(state: ConnectionState) -> str:
    if state.phase == "connecting":
        return coloured("● ", BUSY) + _("Connecting to {address} ...").format(address=state.address)
    if state.phase == "failed":
        return coloured("● ", BAD) + _("No connection to {address}").format(address=state.address)
    status = state.status
    if status is None:
        return coloured("○ ", WARN) + _("Not connected: press Test connection")
    if state.lost and state.step == "token":
        return coloured("● ", BAD) + _("The server does not take your token any more; your calls are kept here. Enter a new one")
    if state.lost:
        return coloured("● ", BAD) + _("The server went away; your calls are kept here and sent when it answers")
    model = state.model.title if state.model is not None else _("no model can be used")
    device = "GPU" if any(device != "cpu" for device in status.devices) else "CPU"
    parts = [_("server {version}").format(version=status.version), model, device]
    parts.append(_("queue {count}").format(count=status.running + status.waiting))
    return coloured("● ", _DOTS[status.level]) + " · ".join(parts)
