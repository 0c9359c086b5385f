/* Texts of the status codes.  SPDX-License-Identifier: Apache-2.0 */
#include "edgead.h"

const char *ead_status_text(int status)
{
    switch (status) {
    case EAD_OK:
        return "ok";
    case EAD_E_LENGTH:
        return "a length is outside the documented range";
    case EAD_E_NOT_FINITE:
        return "an input value is NaN or infinite";
    case EAD_E_WORK:
        return "the lent memory is too small";
    case EAD_E_RANGE:
        return "a parameter is outside its documented range";
    case EAD_E_STATE:
        return "the state was not initialised, or is of another version or precision";
    default:
        return "unknown status";
    }
}
