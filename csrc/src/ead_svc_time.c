/* Reading a point in time from text.  SPDX-License-Identifier: Apache-2.0 */
#include "ead_svc_internal.h"

#ifdef EAD_SERVICE

struct reader {
    const char *at, *end;
};

/* `digits` decimal digits; -1 if there are fewer. */
static int number(struct reader *r, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        if (r->at == r->end || *r->at < '0' || *r->at > '9')
            return -1;
        value = 10 * value + (*r->at++ - '0');
    }
    return value;
}

static int take(struct reader *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return 0;
    r->at++;
    return 1;
}

static int days_in(int year, int month)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar; years counted from March so that the leap day
 * comes last. */
static int64_t days_before(int year, int month, int day)
{
    const int y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;
    return 365 * (int64_t)y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* Microseconds of a fraction; digits behind the sixth are cut off.  -1 without a digit. */
static int fraction(struct reader *r)
{
    int value = 0, digits = 0;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++, digits++)
        if (digits < 6)
            value = 10 * value + (*r->at - '0');
    for (int i = digits; i < 6; i++)
        value *= 10;
    return digits ? value : -1;
}

/* Seconds east of UTC; 0 for Z and for nothing.  Anything else than a zone sets *bad. */
static int zone(struct reader *r, int *bad)
{
    if (r->at == r->end || take(r, 'Z') || take(r, 'z'))
        return 0;
    const int sign = take(r, '+') ? 1 : take(r, '-') ? -1 : 0;
    const int hours = number(r, 2), colon = take(r, ':'),
              minutes = r->at == r->end && !colon ? 0 : number(r, 2);
    *bad |= sign == 0 || hours < 0 || hours > 23 || minutes < 0 || minutes > 59;
    return sign * (3600 * hours + 60 * minutes);
}

int ead_svc_parse_time(const char *text, size_t length, int64_t *micros)
{
    struct reader r = {text, text + length};
    int second = 0, part = 0, bad = 0;
    const int year = number(&r, 4);
    const int dash = take(&r, '-'), month = number(&r, 2), dash2 = take(&r, '-'), day = number(&r, 2);
    if (year < 1 || !dash || month < 1 || month > 12 || !dash2 || day < 1 || day > days_in(year, month))
        return EAD_E_RANGE;
    int64_t seconds = 86400 * days_before(year, month, day);
    if (r.at < r.end) {
        const int parted = take(&r, 'T') || take(&r, 't') || take(&r, ' ');
        const int hour = number(&r, 2), colon = take(&r, ':'), minute = number(&r, 2);
        bad = !parted || hour < 0 || hour > 23 || !colon || minute < 0 || minute > 59;
        if (take(&r, ':')) {
            second = number(&r, 2);
            bad |= second < 0 || second > 59;
            if (take(&r, '.') || take(&r, ',')) {
                part = fraction(&r);
                bad |= part < 0;
            }
        }
        seconds += 3600 * hour + 60 * minute + second - zone(&r, &bad);
    }
    if (bad || r.at != r.end)
        return EAD_E_RANGE;
    *micros = seconds * 1000000 + part;
    return EAD_OK;
}

#else
typedef int ead_svc_time_is_empty;
#endif
