/** Two texts of a file compared. Loaded lazily: `lazy(() => import("@/parts/CodeDiff"))`. */
export { CodeDiff as default } from "./Code";
