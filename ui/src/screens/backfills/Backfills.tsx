/** Not written yet. */
import { Page } from "@/parts/Page";

export default function Backfills() {
  return <Page title="Backfills">{null}</Page>;
}
