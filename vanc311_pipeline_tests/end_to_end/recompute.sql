-- docs/methods.md once more, as far as it is counting: what it says of one request, which requests make a group, and every table of
-- counts, as a view of the table's own name. For recompute.py, which brings `batch` and the functions: day() is a date's number,
-- iso() the date of a number, local_day() the number of an instant's day in Vancouver.

CREATE TEMP TABLE clock AS
WITH told AS (SELECT opened_at AS instant FROM service_requests UNION ALL SELECT modified_at FROM service_requests)
SELECT local_day(data_processed) AS released_on,
       min(local_day(data_processed) - 1, local_day(max(instant))) AS as_of
FROM release, told WHERE instant <= data_processed;

CREATE TEMP VIEW mapping AS SELECT * FROM main.outcome_mapping WHERE outcome <> 'Unmapped';

CREATE TEMP TABLE fact AS
WITH stated AS (
    SELECT row_number() OVER (ORDER BY request_id) AS number, request_id, department, issue_type, local_area, occurrence,
           latitude IS NOT NULL AND longitude IS NOT NULL AS has_point,
           row_number() OVER (
               PARTITION BY department, issue_type, status, closure_reason, opened_at, closed_on, address, local_area, channel,
                            latitude, longitude, partition_month
           ) > 1 AS is_repeat,
           local_day(opened_at) AS opened, local_hour(opened_at) AS opened_hour, coalesce(channel, 'unknown') AS channel, status IS 'Open' AS is_open, status IS 'Close' AS is_closed,
           coalesce(closure_reason, 'N/A') AS reason,
           CASE WHEN status = 'Close' THEN day(closed_on) END AS closing, local_day(modified_at) AS modified,
           strftime('%s', modified_at) - strftime('%s', opened_at) AS seconds, released_on, as_of
    FROM service_requests, clock
), believed AS (
    SELECT *, iif(closing <= released_on OR closing < opened, closing, NULL) AS closed_on,
           iif(modified <= released_on OR seconds <= 0, seconds, NULL) AS seconds_to_update,
           opened < day('2022-08-17') AS is_static
    FROM stated
), classed AS (
    SELECT *, coalesce(closed_on < opened, 0) AS is_negative, is_closed AND closed_on IS NULL AS lacks_date,
           max(closed_on, opened) AS leaves_pile, is_open OR closed_on IS NOT NULL AS in_pile,
           CASE WHEN is_static THEN 'n_static' WHEN opened > as_of THEN 'n_after_as_of' WHEN closed_on < opened THEN 'n_negative'
                WHEN is_closed AND closed_on IS NULL THEN 'n_closed_without_date' END AS unused
    FROM believed
)
SELECT classed.*, substr(iso(opened), 1, 7) AS month, iif(is_negative, NULL, closed_on - opened) AS days_to_close,
       unused IS NULL AND coalesce(closed_on <= as_of, 0) AS closed,
       iif(unused IS NULL AND closed_on <= as_of, closed_on, as_of) - opened AS followed,
       coalesce(outcome, 'Unmapped') AS outcome, coalesce(outcome_order, 7) AS outcome_order
FROM classed LEFT JOIN mapping ON closure_reason = reason
ORDER BY number;
CREATE UNIQUE INDEX fact_by_number ON fact (number);

CREATE TEMP TABLE kind (level, scope, located, by_area, by_issue, by_department);
INSERT INTO kind VALUES
    ('citywide', 'all', NULL, 0, 0, 0), ('citywide', 'located', 1, 0, 0, 0), ('unlocated', 'unlocated', 0, 0, 0, 0),
    ('neighbourhood', 'located', 1, 1, 0, 0), ('hyper_local', 'located', 1, 1, 1, 0), ('issue', 'all', NULL, 0, 1, 0),
    ('issue', 'located', 1, 0, 1, 0), ('department', 'all', NULL, 0, 0, 1), ('department', 'located', 1, 0, 0, 1);

CREATE TEMP TABLE member AS
WITH named AS (
    SELECT number, level, scope, iif(by_area, local_area, NULL) AS local_area, iif(by_issue, issue_type, NULL) AS issue_type,
           iif(by_department, department, NULL) AS department
    FROM kind JOIN fact ON located IS NULL OR located = (local_area IS NOT NULL)
)
SELECT *, json_array(level, scope, local_area, issue_type, department) AS group_id FROM named ORDER BY number;

CREATE TEMP TABLE grouped AS
SELECT DISTINCT level, scope, local_area, issue_type, department, group_id FROM member
UNION SELECT 'neighbourhood', 'located', local_area, NULL, NULL, json_array('neighbourhood', 'located', local_area, NULL, NULL)
FROM local_areas;

CREATE TEMP TABLE span AS
WITH named (period, first, last) AS (
    SELECT 'all', min(opened), max(opened) FROM fact
    UNION ALL SELECT 'last_30_days', as_of - 36, as_of - 7 FROM clock
    UNION ALL SELECT 'last_90_days', as_of - 96, as_of - 7 FROM clock
    UNION ALL SELECT 'last_12_months', as_of - 364, as_of FROM clock
    UNION SELECT substr(month, 1, 4), day(substr(month, 1, 4) || '-01-01'), day(substr(month, 1, 4) || '-12-31') FROM fact
), record AS (SELECT min(opened) AS begin, max(opened) AS end FROM fact)
SELECT period, max(first, begin) AS first, min(last, end) AS last FROM named, record WHERE max(first, begin) <= min(last, end);

CREATE TEMP VIEW periods AS SELECT period, iso(first) AS opened_from, iso(last) AS opened_to FROM span;

CREATE TEMP TABLE months AS
WITH RECURSIVE begun (day) AS (
    SELECT min(month) || '-01' FROM fact
    UNION ALL SELECT date(day, '+1 month') FROM begun WHERE day < (SELECT iso(max(as_of, max(coalesce(leaves_pile, opened)))) FROM fact)
)
SELECT substr(day, 1, 7) AS month, day(day) AS first, day(date(day, '+1 month')) - 1 AS last FROM begun
WHERE day <= (SELECT iso(max(as_of, max(opened))) FROM fact)
   OR substr(day, 1, 7) IN (SELECT substr(iso(leaves_pile), 1, 7) FROM fact WHERE leaves_pile IS NOT NULL);

-- The four headline metrics

CREATE TEMP TABLE headline AS
WITH counted AS (
    SELECT group_id, level, scope, local_area, issue_type, department, number FROM member WHERE level <> 'department'
    UNION ALL SELECT issue_type, 'unlocated', 'unlocated', NULL, issue_type, NULL, number FROM fact WHERE local_area IS NULL
)
SELECT level, scope, counted.local_area, counted.issue_type, count(*) AS volume, sum(is_open) AS open_requests,
       avg(days_to_close) AS avg_ttr, count(days_to_close) AS n_ttr, coalesce(sum(days_to_close), 0) AS sum_days_to_close,
       avg(seconds_to_update) FILTER (WHERE seconds_to_update > 0) / 86400 AS avg_ttu,
       count(*) FILTER (WHERE seconds_to_update > 0) AS n_ttu,
       coalesce(sum(seconds_to_update) FILTER (WHERE seconds_to_update > 0), 0) AS sum_seconds_to_update,
       sum(is_closed) AS closed, sum(NOT is_open AND NOT is_closed) AS status_unknown, sum(is_negative) AS n_negative,
       sum(lacks_date) AS n_closed_without_date, count(*) FILTER (WHERE seconds_to_update = 0) AS n_never_updated,
       count(*) FILTER (WHERE seconds_to_update < 0) AS n_update_negative,
       count(*) FILTER (WHERE seconds_to_update IS NULL) AS n_update_missing, sum(is_open AND is_static) AS n_static_open
FROM counted JOIN fact USING (number) GROUP BY group_id;

CREATE TEMP VIEW metrics_citywide AS SELECT * FROM headline WHERE level = 'citywide';
CREATE TEMP VIEW metrics_by_neighbourhood AS SELECT * FROM headline WHERE level = 'neighbourhood';
CREATE TEMP VIEW metrics_by_issue AS SELECT * FROM headline WHERE level = 'issue';
CREATE TEMP VIEW metrics_hyper_local AS SELECT * FROM headline WHERE level = 'hyper_local';
CREATE TEMP VIEW metrics_unlocated AS SELECT * FROM headline WHERE level = 'unlocated' AND issue_type IS NOT NULL;

CREATE TEMP VIEW metric_aggregates AS
SELECT level, scope, local_area, issue_type, 'avg_ttr' AS metric, avg_ttr AS value, n_ttr AS n FROM headline
UNION ALL SELECT level, scope, local_area, issue_type, 'avg_ttu', avg_ttu, n_ttu FROM headline
UNION ALL SELECT level, scope, local_area, issue_type, 'volume', volume, volume FROM headline
UNION ALL SELECT level, scope, local_area, issue_type, 'open_requests', open_requests, volume FROM headline;

-- When and how it was reported

CREATE TEMP VIEW reported AS
SELECT level, scope, member.local_area, member.issue_type, member.department, group_id, period, opened, opened_hour, channel
FROM member JOIN fact USING (number) JOIN span ON opened BETWEEN first AND last WHERE period = 'last_12_months';

CREATE TEMP VIEW reporting_times AS
SELECT level, scope, local_area, issue_type, department, period, (opened + 6) % 7 + 1 AS weekday, opened_hour AS hour,
       count(*) AS requests
FROM reported WHERE level IN ('citywide', 'unlocated', 'neighbourhood', 'issue') GROUP BY group_id, opened % 7, opened_hour;

CREATE TEMP VIEW channels AS
SELECT level, scope, local_area, issue_type, department, period, channel, count(*) AS requests,
       sum(count(*)) OVER (PARTITION BY group_id) AS volume
FROM reported WHERE level <> 'hyper_local' GROUP BY group_id, channel;

-- Backlog

CREATE TEMP TABLE band (age_band, band_order, least, most);
INSERT INTO band VALUES
    ('0-7', 1, 0, 7), ('8-30', 2, 8, 30), ('31-90', 3, 31, 90), ('91-365', 4, 91, 365), ('over 365', 5, 366, 1e9),
    ('opened after as_of', 6, -1e9, -1);

CREATE TEMP VIEW backlog_by_age AS
WITH waiting AS (
    SELECT group_id, as_of - opened AS age, is_static, fact.local_area FROM member JOIN fact USING (number) WHERE is_open
)
SELECT level, scope, grouped.local_area, issue_type, department, age_band, band_order, count(age) AS open_requests,
       count(waiting.local_area) AS located, coalesce(sum(is_static), 0) AS n_static,
       1.0 * count(age) / nullif(sum(count(age)) OVER (PARTITION BY grouped.group_id), 0) AS share_of_open
FROM grouped CROSS JOIN band LEFT JOIN waiting ON waiting.group_id = grouped.group_id AND age BETWEEN least AND most
WHERE level <> 'hyper_local' GROUP BY grouped.group_id, band_order;

CREATE TEMP VIEW backlog_daily AS
WITH RECURSIVE calendar (day) AS (
    SELECT min(opened) FROM fact UNION ALL SELECT day + 1 FROM calendar, clock WHERE day < as_of
), moved AS (
    SELECT group_id, opened AS day, 1 AS came, 0 AS went FROM member JOIN fact USING (number) WHERE in_pile
    UNION ALL SELECT group_id, leaves_pile, 0, 1 FROM member JOIN fact USING (number) WHERE leaves_pile IS NOT NULL
), on_day AS (SELECT group_id, day, sum(came) AS came, sum(went) AS went FROM moved GROUP BY group_id, day)
SELECT level, scope, local_area, issue_type, department, iso(day) AS day, coalesce(came, 0) AS opened,
       coalesce(went, 0) AS closed_in, sum(coalesce(came - went, 0)) OVER (PARTITION BY group_id ORDER BY day) AS backlog,
       iif(day < day('2023-08-17'), 'yes', 'no') AS understated, iif(day >= as_of - 6, 'yes', 'no') AS provisional
FROM clock CROSS JOIN grouped CROSS JOIN calendar LEFT JOIN on_day USING (group_id, day)
WHERE level IN ('citywide', 'unlocated', 'neighbourhood');

-- Outcomes

CREATE TEMP VIEW outcome_mapping AS
SELECT closure_reason, outcome, outcome_order, mapping_version,
       iif(closure_reason IN (SELECT reason FROM fact WHERE is_closed), 'yes', 'no') AS seen
FROM mapping
UNION SELECT reason, outcome, outcome_order, (SELECT max(mapping_version) FROM mapping), 'yes'
FROM fact WHERE is_closed AND outcome = 'Unmapped';

CREATE TEMP VIEW closure_reasons AS
SELECT period, department, reason AS closure_reason, outcome, sum(is_closed) AS closed, sum(is_open) AS open_requests
FROM span JOIN fact ON opened BETWEEN first AND last GROUP BY period, department, reason HAVING sum(is_closed OR is_open);

-- Quality of the record

CREATE TEMP TABLE batch (group_id, day);
CREATE TEMP VIEW in_batch AS
SELECT number FROM batch JOIN member USING (group_id) JOIN fact USING (number) WHERE closed_on = day AND NOT is_negative;

CREATE TEMP VIEW quality_ledger AS
WITH quarantine AS (
    SELECT partition_month AS month, coalesce(nullif(json_extract(raw_row, '$.department'), ''), 'unknown') AS department
    FROM quarantined_requests
), cell AS (SELECT month, department FROM fact UNION SELECT month, department FROM quarantine)
SELECT month AS open_month, department, count(number) AS volume,
       count(number) - count(local_area) AS n_missing_area, count(*) FILTER (WHERE NOT has_point) AS n_missing_point,
       (SELECT count(*) FROM quarantine AS q WHERE (q.month, q.department) = (cell.month, cell.department)) AS n_quarantined,
       count(*) FILTER (WHERE is_negative) AS n_negative, count(*) FILTER (WHERE lacks_date) AS n_closed_without_date,
       count(*) FILTER (WHERE occurrence > 0) AS n_twins, count(*) FILTER (WHERE is_repeat) AS n_repeats,
       count(*) FILTER (WHERE number IN (SELECT number FROM in_batch)) AS n_batch_closed,
       count(*) FILTER (WHERE issue_type REGEXP '^ZZ?\b') AS n_obsolete_label,
       count(*) FILTER (WHERE is_closed AND outcome = 'Unmapped') AS n_unmapped_reason
FROM cell LEFT JOIN fact USING (month, department) GROUP BY month, department;

CREATE TEMP VIEW corrections AS
WITH kinds AS (
    SELECT substr(data_processed, 1, 7) AS release_month, department, kind, kind = 'edited' AND EXISTS (
               SELECT 1 FROM json_each(after) WHERE key IN ('status', 'closed_on', 'closure_reason', 'local_area')
           ) AS of_substance
    FROM request_changes WHERE kind NOT IN ('opened', 'closed')
)
SELECT release_month, department, sum(kind = 'vanished') AS n_vanished, sum(kind = 'relabelled') AS n_relabelled,
       sum(kind = 'reopened') AS n_reopened, sum(of_substance) AS n_corrected,
       sum(kind = 'edited' AND NOT of_substance) AS n_clerical
FROM kinds GROUP BY release_month, department;
