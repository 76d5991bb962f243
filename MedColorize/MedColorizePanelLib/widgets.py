"""Small things that several tabs do with widgets: combo boxes that hold keys, time left, busy and idle."""

import time

import qt

from .compat import tr as _


def fillCombo(combo, entries, key=None, icons=None):
    """Fill a combo box with `(key, text, tool tip)`; the choice is kept, or becomes `key`, without a signal.

    `icons`: one for each entry.
    """
    wanted = key if key is not None else combo.currentData
    blocked = combo.blockSignals(True)
    combo.clear()
    for number, (entryKey, text, toolTip) in enumerate(entries):
        combo.addItem(text, entryKey)
        combo.setItemData(number, toolTip, TOOL_TIP_ROLE)
        if icons is not None:
            combo.setItemIcon(number, icons[number])
    index = combo.findData(wanted)
    combo.setCurrentIndex(index if index >= 0 else 0)
    combo.blockSignals(blocked)


TOOL_TIP_ROLE = 3  # qt.Qt.ToolTipRole


def chooseKey(combo, key):
    """Choose the entry with this key, if there is one."""
    index = combo.findData(key)
    if index >= 0 and index != combo.currentIndex:
        combo.setCurrentIndex(index)


class TimeLeft:
    """How long a stage will still take, from how long its finished steps took."""

    def __init__(self):
        self._stage, self._since, self._first = None, 0.0, 0

    def of(self, stage, done, total):
        """A text such as "about 12 s left", or an empty one while nobody can know."""
        now = time.monotonic()
        if stage != self._stage or done < self._first:
            self._stage, self._since, self._first = stage, now, done
        steps, elapsed = done - self._first, now - self._since
        if steps <= 0 or elapsed < 1 or done >= total:
            return ""
        return lasting(elapsed / steps * (total - done))


def lasting(seconds):
    """A duration as a person would say it."""
    if seconds < 90:
        return _("about {seconds} s left").format(seconds=max(1, round(seconds)))
    return _("about {minutes} min left").format(minutes=round(seconds / 60))


def bytesText(count):
    """A size as a person would say it."""
    units = ["B", "KB", "MB", "GB"]
    while count >= 1024 and len(units) > 1:
        count /= 1024
        units.pop(0)
    return "{:.{}f} {}".format(count, 1 if units[0] in ("MB", "GB") else 0, units[0])


STAGES = {
    "send": lambda: _("Handing over the volume"),
    "receive": lambda: _("Taking the result over"),
    "prepare": lambda: _("Preparing"),
    "colorize": lambda: _("Colouring"),
    "key slices": lambda: _("Colouring slices after the reference"),
    "report": lambda: _("Measuring"),
    "uncertainty": lambda: _("Colouring in three directions"),
    "train": lambda: _("Training"),
}


def showProgress(bar, label, timeLeft, event, prefix=""):
    """Draw one progress event."""
    stage, done, total = event.get("stage", ""), int(event.get("done", 0)), int(event.get("total", 0))
    bar.maximum = total
    bar.value = done
    name = STAGES[stage]() if stage in STAGES else stage
    left = timeLeft.of(stage, done, total) if total else ""
    label.text = prefix + ", ".join(filter(None, (name, left)))


def fitWidth(picture, width, height):
    """A pixmap scaled into a box, in its own proportions."""
    return picture.scaled(max(80, width), height, qt.Qt.KeepAspectRatio, qt.Qt.SmoothTransformation)


def fitHeight(table, mostRows=9):
    """Make a table as high as its rows, up to a few of them; rows grow with their text and the font."""
    table.resizeRowsToContents()
    rows = min(table.rowCount, mostRows)
    header = table.horizontalHeader()
    table.setFixedHeight(
        sum(table.rowHeight(row) for row in range(rows)) + (header.height if header.visible else 0) + 6
    )
