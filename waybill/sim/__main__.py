"""`python -m waybill.sim`."""

from waybill.sim.command import app

app(prog_name="waybill sim")
