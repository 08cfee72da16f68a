/** Not written yet. */
import { Page } from "@/parts/Page";

export default function Approval() {
  return <Page title="Approval">{null}</Page>;
}
