"""A manifest's graph in every form."""

from __future__ import annotations

from xml.etree import ElementTree

from cloudflare.types.workflows.version_graph_response import VersionGraphResponse

from edge.bindings.workflows.manifests.graph import graph_json, render_graph
from edge.bindings.workflows.manifests.read import read_manifest

MANIFEST = read_manifest("""
kind: Workflow/v1
name: transcode
steps:
  probe:   {uses: "./media.py:probe", retries: {limit: 3, delay: 5 seconds}}
  ladder:  {uses: "./media.py:hls", with: {src: "${steps.probe.out}"}, for_each: [360, 720]}
  approve: {wait_for_event: reviewed, if: "${params.who | eq('<a>&\\"')}"}
  night:   {sleep_until: "2026-01-02T00:00:00Z"}
  nap:     {sleep: 3 seconds, needs: approve}
  other:   {workflow: resting, needs: [nap, night]}
  publish: {uses: "binding:R2.put", needs: [ladder, approve, other], rollback: {uses: "binding:R2.delete"}}
""")


def test_text_shows_layers_needs_and_notes() -> None:
    head, *lines = render_graph(MANIFEST, "text").splitlines()
    assert head == f"transcode  version {MANIFEST.version}"
    assert lines == [
        "1  probe    ./media.py:probe",
        """   approve  wait for reviewed  if ${params.who | eq('<a>&"')}""",
        "   night    sleep until 2026-01-02T00:00:00Z",
        "2  ladder   ./media.py:hls  for each of [360, 720]  after probe",
        "   nap      sleep 3 seconds  after approve",
        "3  other    workflow resting  after nap, night",
        "4  publish  binding:R2.put  undone by binding:R2.delete  after ladder, approve, other",
    ]


def test_mermaid_has_every_edge_and_no_markup_of_ours() -> None:
    lines = render_graph(MANIFEST, "mermaid").splitlines()
    assert lines[0] == "flowchart TD"
    assert len([line for line in lines if "-->" in line]) == sum(len(step.needs) for step in MANIFEST.steps.values())
    (approve,) = [line for line in lines if "approve" in line]
    assert approve == (
        '  n1{{"approve<br/>wait for reviewed<br/>if #36;#123;params.who #124; eq(#39;#60;a#62;#38;#34;#39;)#125;"}}'
    )


def test_svg_is_xml_with_a_box_for_each_step_and_a_line_for_each_edge() -> None:
    drawn = ElementTree.fromstring(render_graph(MANIFEST, "svg"))
    space = "{http://www.w3.org/2000/svg}"
    boxes = drawn.findall(f"{space}g")
    assert {box.findall(f"{space}text")[0].text for box in boxes} == set(MANIFEST.steps)
    assert len(drawn.findall(f"{space}path")) == sum(len(step.needs) for step in MANIFEST.steps.values())
    rects = [box.find(f"{space}rect") for box in boxes]
    corners = {(rect.get("x"), rect.get("y")) for rect in rects if rect is not None}
    assert len(corners) == len(boxes), "no two lie on each other"


def test_svg_escapes_whatever_a_manifest_says() -> None:
    nasty = read_manifest(
        'kind: Workflow/v1\nname: x\nsteps: {a: {wait_for_event: "</title><script>\\x01\\U0001F600\\uD800"}}'.replace(
            "\\uD800", ""
        )
    )
    text = render_graph(nasty, "svg")
    assert "<script" not in text
    ElementTree.fromstring(text)


def test_json_is_what_the_sdk_reads() -> None:
    whole = {
        "id": "1",
        "class_name": "",
        "created_on": "2026-01-01T00:00:00Z",
        "modified_on": "2026-01-01T00:00:00Z",
        "workflow_id": "2",
        "graph": graph_json(MANIFEST),
    }
    read = VersionGraphResponse.model_validate(whole)
    assert read.graph is not None
    kinds = [node.type for node in read.graph.workflow.nodes]
    assert kinds == ["parallel", "parallel", "function_call", "step_do"]
    first = graph_json(MANIFEST)["workflow"]["nodes"][0]["nodes"]
    assert [node["type"] for node in first] == ["step_do", "if", "step_sleep_until"]
    assert first[1]["branches"][0]["condition"] == """${params.who | eq('<a>&"')}"""
