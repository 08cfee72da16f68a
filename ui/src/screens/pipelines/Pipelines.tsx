/** Not written yet. */
import { Page } from "@/parts/Page";

export default function Pipelines() {
  return <Page title="Pipelines">{null}</Page>;
}
