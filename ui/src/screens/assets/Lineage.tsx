/** Not written yet. */
import { Page } from "@/parts/Page";

export default function Lineage() {
  return <Page title="Lineage">{null}</Page>;
}
