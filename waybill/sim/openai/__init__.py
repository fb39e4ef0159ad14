"""OpenAI's embeddings, models, files and batches on a loopback port, with its limits, prices and faults."""

from waybill.sim.limits import Limits
from waybill.sim.openai.embeddings import logical_call
from waybill.sim.openai.settings import BatchTimes, OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator

__all__ = ["BatchTimes", "Limits", "OpenAISettings", "OpenAISimulator", "logical_call", "simulator"]
