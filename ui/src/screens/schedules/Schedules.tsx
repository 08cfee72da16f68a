/** Not written yet. */
import { Page } from "@/parts/Page";

export default function Schedules() {
  return <Page title="Schedules">{null}</Page>;
}
