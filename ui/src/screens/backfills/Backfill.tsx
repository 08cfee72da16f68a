/** Not written yet. */
import { Page } from "@/parts/Page";

export default function Backfill() {
  return <Page title="Backfill">{null}</Page>;
}
