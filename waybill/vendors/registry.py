"""The vendors: a row each, which is all that Waybill's own programs know of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Vendor:
    """A vendor, and how the stack and the doctor deal with it.

    Attributes:
        name: In the ledger and in health; the backend's name.
        title: For people.
        service: Which alone speaks to it, and sees its settings.
        settings: How the names of its settings begin.
        base_url: Where it is, if its setting BASE_URL does not say otherwise.
        question: A path below that which is free to ask for, and needs a good key; it names the subject.
        subject: What the question is about. Its setting has the same name.
        default_subject: Where that is not set.
        access: The setting to mend where a good key may not do something.
        simulator: Its simulator, as `waybill sim` calls it.
        simulator_port: Of its simulator, whose own door is the next.
        simulator_path: Of the simulator's base URL.
        simulator_key: Good there, and nowhere else.
    """

    name: str
    title: str
    service: str
    settings: str
    base_url: str
    question: str
    subject: str
    default_subject: str
    access: str
    simulator: str
    simulator_port: int
    simulator_path: str
    simulator_key: str

    @property
    def control(self) -> str:
        """The name of its simulator's own door."""
        return f"{self.name}-control"

    def simulated(self, address: str) -> dict[str, str]:
        """The settings that lead to a simulator, in place of all real ones."""
        return {
            f"{self.settings}BASE_URL": f"http://{address}{self.simulator_path}",
            f"{self.settings}API_KEY": self.simulator_key,
            f"{self.settings}API_KEY_NEXT": "",
            f"{self.settings}API_KEY_FILE": "",
        }


OPENAI = Vendor(
    name="openai",
    title="OpenAI",
    service="embedder",
    settings="OPENAI_",
    base_url="https://api.openai.com/v1",
    question="models/{}",
    subject="model",
    default_subject="text-embedding-3-small",
    access="PROJECT",
    simulator="openai",
    simulator_port=7407,
    simulator_path="/v1",
    simulator_key="sk-simulator",
)
LLAMAPARSE = Vendor(
    name="llamaparse",
    title="LlamaParse",
    service="parser",
    settings="LLAMA_CLOUD_",
    base_url="https://api.cloud.llamaindex.ai",
    question="api/v1/projects",
    subject="tier",
    default_subject="cost_effective",
    access="PROJECT",
    simulator="llamacloud",
    simulator_port=7409,
    simulator_path="",
    simulator_key="llx-simulator",
)
VENDORS = (OPENAI, LLAMAPARSE)
