/** One approval at an address of its own: what a notification links to, before and after it was answered. */
import { useParams } from "@tanstack/react-router";
import { useGet } from "@/api/client";
import { useChosen } from "@/frame/address";
import { GatePanel } from "@/parts/GatePanel";
import { Page } from "@/parts/Page";
import { Loaded } from "@/parts/Waiting";
import { Where } from "./Approvals";

export default function Approval() {
  const path = useParams({ strict: false }) as { run: string; step: string };
  const [{ index }] = useChosen();
  const approval = useGet(
    "/api/v1/runs/{run}/steps/{step}/approval",
    { path, query: { index: index ?? "" } },
    { live: ["gate_", "run_ended", "step_"] },
  );
  return (
    <Loaded query={approval}>
      {(found) => (
        <Page
          title={found.question}
          crumbs={[{ text: "Approvals", to: "/approvals" }]}
          command={`partita approve ${found.run_no} ${found.step}`}
        >
          <Where of={found} />
          <GatePanel approval={found} open={found.missing > 0} />
        </Page>
      )}
    </Loaded>
  );
}
