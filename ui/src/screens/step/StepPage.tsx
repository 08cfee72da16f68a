/** Not written yet. */
import { Page } from "@/parts/Page";

export default function StepPage() {
  return <Page title="StepPage">{null}</Page>;
}
