import { ConnectError } from "@connectrpc/connect";
import { OutcomeSchema } from "../stubs/gigagate/v1/outcome_pb.js";
/**
 * Finds the Outcome in an error of a call. It returns undefined if the error has none, for example
 * after a broken connection. Credit may have been spent then, as with Effect.INDETERMINATE.
 */
export function outcomeOf(error) {
    return error instanceof ConnectError ? error.findDetails(OutcomeSchema)[0] : undefined;
}
