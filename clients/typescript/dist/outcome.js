import { ConnectError } from "@connectrpc/connect";
import { OutcomeSchema } from "../stubs/gigagate/v1/outcome_pb.js";
/**
 * Finds the Outcome in an error of a call. It is undefined where the error bears none, such as a
 * broken connection: credit may have been spent then, as with Effect.INDETERMINATE.
 */
export function outcomeOf(error) {
    return error instanceof ConnectError ? error.findDetails(OutcomeSchema)[0] : undefined;
}
