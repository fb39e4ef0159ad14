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
        base_url: Where it is, if its setting of the address does not say otherwise; empty where each
            customer has an address of their own.
        question: A path below that which is free to ask for, and needs a good key; it names the subject.
        subject: What the question is about. Its setting has the same name.
        default_subject: Where that is not set.
        access: The setting to mend where a good key may not do something.
        simulator: Its simulator, as `waybill sim` calls it.
        simulator_port: Of its simulator, whose own door is the next.
        simulator_path: Of the simulator's base URL.
        simulator_key: Good there, and nowhere else.
        address: The setting of its address.
        key: The setting of the key; with _NEXT of a second one, with _FILE of a file of keys.
        elsewhere: Settings that lead to a customer's own place, and mean nothing to a simulator.
        simulator_keeps: What its simulator is given stays over a restart of the stack.
        tells_of: How the ledger's models end of which it can be asked, by our id, whether it did an attempt.
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
    address: str = "BASE_URL"
    key: str = "API_KEY"
    elsewhere: tuple[str, ...] = ()
    simulator_keeps: bool = False
    tells_of: tuple[str, ...] = ()

    @property
    def control(self) -> str:
        """The name of its simulator's own door."""
        return f"{self.name}-control"

    def simulated(self, address: str) -> dict[str, str]:
        """The settings that lead to a simulator, in place of all real ones."""
        return {
            f"{self.settings}{self.address}": f"http://{address}{self.simulator_path}",
            f"{self.settings}{self.key}": self.simulator_key,
            **{
                f"{self.settings}{name}": ""
                for name in (f"{self.key}_NEXT", f"{self.key}_FILE", *self.elsewhere)
            },
        }


# How the price of a model's batch tier is called, behind the model.
BATCH = " batch"
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
    tells_of=(BATCH,),
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
    tells_of=("",),
)
SUPABASE = Vendor(
    name="supabase",
    title="Supabase",
    service="storage",
    settings="SUPABASE_",
    base_url="",
    question="bucket/{}",
    subject="bucket",
    default_subject="waybill",
    access="KEY",
    simulator="supabase",
    simulator_port=7414,  # 7411 is where webhooks come in, 7413 where links lead
    simulator_path="",
    simulator_key="sb_secret_simulator",
    address="URL",
    key="KEY",
    elsewhere=("STORAGE_URL", "BUCKET"),
    simulator_keeps=True,
)
VENDORS = (OPENAI, LLAMAPARSE, SUPABASE)


def tells_of(vendor: str, model: str) -> bool:
    """Whether a vendor can be asked what became of an attempt at one of its models."""
    endings = next((one.tells_of for one in VENDORS if one.name == vendor), ())
    return any(model.endswith(ending) for ending in endings)
