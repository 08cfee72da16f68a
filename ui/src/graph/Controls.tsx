/** Buttons over a graph: nearer, farther, the whole, all groups open or folded. */
import { ActionIcon, Tooltip } from "@mantine/core";
import { IconArrowsMaximize, IconFold, IconLayoutList, IconMinus, IconPlus } from "@tabler/icons-react";
import { Panel, useReactFlow } from "@xyflow/react";
import css from "./Drawn.module.css";

export function Controls({ onFold, hasGroups }: { onFold: (open: boolean) => void; hasGroups: boolean }) {
  const flow = useReactFlow();
  const buttons = [
    { label: "nearer (+)", icon: IconPlus, act: () => void flow.zoomIn() },
    { label: "farther (-)", icon: IconMinus, act: () => void flow.zoomOut() },
    {
      label: "the whole (0)",
      icon: IconArrowsMaximize,
      act: () => void flow.fitView({ padding: 0.08, maxZoom: 1 }),
    },
    ...(hasGroups
      ? [
          { label: "open all groups", icon: IconLayoutList, act: () => onFold(true) },
          { label: "fold all groups", icon: IconFold, act: () => onFold(false) },
        ]
      : []),
  ];
  return (
    <Panel position="top-right" className={css.controls}>
      {buttons.map(({ label, icon: Icon, act }) => (
        <Tooltip key={label} label={label}>
          <ActionIcon onClick={act} aria-label={label}>
            <Icon size={15} />
          </ActionIcon>
        </Tooltip>
      ))}
    </Panel>
  );
}
