/** How Mantine's components look and behave here; colours are in style/tokens.css. */
import { createTheme } from "@mantine/core";

export const theme = createTheme({
  fontFamily: "var(--p-font)",
  fontFamilyMonospace: "var(--p-mono)",
  primaryColor: "indigo",
  defaultRadius: 6,
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    Button: { defaultProps: { size: "compact-sm", variant: "default" } },
    ActionIcon: { defaultProps: { variant: "subtle", color: "gray", size: "sm" } },
    TextInput: { defaultProps: { size: "xs" } },
    Textarea: { defaultProps: { size: "xs", autosize: true, minRows: 2 } },
    NumberInput: { defaultProps: { size: "xs" } },
    PasswordInput: { defaultProps: { size: "xs" } },
    Select: {
      defaultProps: { size: "xs", checkIconPosition: "right", comboboxProps: { withinPortal: true } },
    },
    Autocomplete: { defaultProps: { size: "xs" } },
    TagsInput: { defaultProps: { size: "xs" } },
    MultiSelect: { defaultProps: { size: "xs" } },
    Checkbox: { defaultProps: { size: "xs" } },
    Switch: { defaultProps: { size: "xs" } },
    SegmentedControl: { defaultProps: { size: "xs" } },
    Tooltip: { defaultProps: { openDelay: 350, withArrow: false, transitionProps: { duration: 0 } } },
    ModalRoot: { defaultProps: { lockScroll: false } },
    DrawerRoot: { defaultProps: { lockScroll: false } },
    // What locks the page's scrolling writes a style element, which the policy does not allow.
    Modal: {
      defaultProps: {
        lockScroll: false,
        transitionProps: { duration: 0 },
        centered: true,
        closeButtonProps: { "aria-label": "Close" },
      },
    },
    Drawer: {
      defaultProps: {
        lockScroll: false,
        transitionProps: { duration: 0 },
        closeButtonProps: { "aria-label": "Close" },
      },
    },
    Menu: {
      // The placeholder that takes the focus of a click is no item, which those who listen would be told of.
      defaultProps: { transitionProps: { duration: 0 }, shadow: "md", withInitialFocusPlaceholder: false },
    },
    Popover: { defaultProps: { transitionProps: { duration: 0 }, shadow: "md" } },
  },
});
