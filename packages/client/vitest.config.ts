export { default } from "../../scripts/vitestShared.ts"
