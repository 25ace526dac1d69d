"""An agent that looks into a folder of pictures with the toolkit.

A scripted model stands in for the chat model, so that no key is needed; any model that can call tools takes its place.

    python examples/agent.py
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolCall, ToolMessage

from langchain_qwen_ocr import QwenOCR, QwenOCRToolkit

PICTURES = Path(__file__).parent / "pictures"


class ScriptedModel(FakeMessagesListChatModel):
    """Says what it was given to say, whatever the tools are."""

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> "ScriptedModel":
        """The model itself, which needs no tools to say its lines."""
        print("The model may call:", ", ".join(tool.name for tool in tools))
        return self


call = ToolCall(name="qwen_ocr_text_recognition", args={"image": "receipt_zh.jpg"}, id="call-1")
model = ScriptedModel(responses=[AIMessage("", tool_calls=[call]), AIMessage("It is from 青禾巷便利店.")])

toolkit = QwenOCRToolkit(
    QwenOCR.local(),
    root_dir=PICTURES,  # nothing outside of it is opened
    url_hosts=None,  # no address is fetched
)
agent = create_agent(model, toolkit.get_tools())
state = agent.invoke({"messages": [HumanMessage("Which shop is receipt_zh.jpg from?")]})

for message in state["messages"]:
    print(f"{message.type}: {message.text[:200]}")
    if isinstance(message, ToolMessage):
        artifact = message.artifact  # the whole typed result, which the model does not see
        print(f"    {artifact.outcomes}, handle {artifact.handle}, {artifact.usage.total_tokens} tokens")
