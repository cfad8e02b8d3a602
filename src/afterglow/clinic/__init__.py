"""The course of care as rules: candidacy, course, session, drugs, diary, measures, worklist, site policy.

Pure functions over frozen dataclasses; time and people are passed in as acts. Names are loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Public name -> module that defines it.
_PUBLIC = {
    name: f"afterglow.clinic.{module}"
    for module, names in {
        "acting": "Act Outcome Role Row StateTable Transitioned check_witness login",
        "thresholds": "Setting",
        "rulebook": "Delivery DrugClass Group Rule Severity WorkupItem drug_classes rule rules rules_of sources "
        "workup_items",
        "factbook": "check_facts fact_kinds known_facts",
        "registers": "DrugRecordRule EventGrades FormGroup MonitoringForm VisitStage adverse_events drug_record_rule "
        "drug_record_rules enrolment_duties event_grades monitoring_form registers_markdown "
        "visit_stages",
        "policy": "SitePolicy demo_policy draft_policy policy_at policy_facts policy_settings setting sign_policy",
        "ruling": "Decision Finding Priority RuleAnswer Verdict answer_rule is_overridable open_findings priority_of",
        "medicines": "Allergies AllergyStatus Medicine MedicineList changed_facts classes_of is_reconciled "
        "medicine_facts reconcile unclassified",
        "resistance": "Indication LabelRow LabelStatus MaudsleySeverity MaudsleyStage MedicineTrial Resistance "
        "TrialOutcome TrialVerdict dose_notes judge_resistance judge_trial label_row label_rows "
        "label_status maudsley_stage resistance_facts staging",
        "dosing": "BodyWeight DoseOrder PreparedDose RateChange RateStep SecondCheck check_dose check_second "
        "prepare_dose sign_second",
        "dose_rules": "PlannedDose judge_planned dose_facts fastest_rate in_label_table is_within_order",
        "candidacy": "Candidacy WorkupStatus asked_for assess_candidacy check_candidate check_still_candidate",
        "course": "Authorisation BenefitReview COURSE Consent ConsentMethod CourseState Plan ReviewDecision "
        "ReviewKind SafetyPlan StopReason TreatmentCourse WithdrawalMethod",
        "consent": "add_authorisation check_consent give_consent has_consent units_left use_unit withdraw_consent",
        "moves": "after_missed_session make_safety_plan move_course record_review reviews_due set_plan",
        "containers": "CONTAINER Container ContainerState LotBalance Movement count explain lot_balance receive "
        "waste_drawn waste_rest",
        "session": "AdverseEvent DoseGap DrugUse DrugUseKind EmergencyAssessment InfusionRun Leaving Reading SESSION "
        "SessionState SignedNote TreatmentSession policy_digest standing_readings",
        "readings": "assess_emergency baseline correct_reading enter_reading escalations judge_reading latest_facts "
        "reading_facts reading_limits",
        "monitoring": "Clocks DueReading DueState clocks due_readings earliest_leave first_dose_at is_falling "
        "judge_monitoring monitoring_facts phase",
        "titration": "judge_rate order_rate rates_of set_rate",
        "gates": "Chart chart_facts chart_gates check_gates judge_gates treatment_week",
        "closing": "close form_due_at give_back grade_event record_event sign_note void_event waste",
        "screening": "amend_screening answer_finding arrive attach_dose back_to_screen cancel countersign_order go "
        "order_dose screen undo_miss",
        "giving": "give_device hold next_device_at ran_minutes resume start_dose take_drug",
        "ending": "finish_dose stop",
        "leaving": "LeaveCheck clear_to_leave judge_leaving leave_facts transfer walk_out",
        "aftercare": "ASKED_LATER aftercare_facts judge_aftercare sessions_in_induction",
        "diary": "BOOKING Booking BookingConflict BookingState Chair Closure ConflictKind Diary block book "
        "booking_warnings clashes end_booking find_conflicts move_booking overstay undo_no_show",
        "free_times": "next_free",
        "measures": "Cadence DueMeasure ScoreReading cadences due_measures read_score",
        "alerts": "ALERT AlertStage ClinicAlert act_on alert_from_finding alerts_from_score close_alert closing_time "
        "escalate hand_over owns_alert raise_alert read_alert response_time walk_out_alert",
        "worklist": "INDUCED Standing WorkItem WorkKind due_by_plan list_work",
        "reference": "clinic_markdown",
    }.items()
    for name in names.split()
}

# fmt: off
__all__ = [
    "ALERT", "ASKED_LATER", "BOOKING", "CONTAINER", "COURSE", "INDUCED", "SESSION", "Act", "AdverseEvent", "AlertStage",
    "Allergies", "AllergyStatus", "Authorisation", "BenefitReview", "BodyWeight", "Booking", "BookingConflict",
    "BookingState", "Cadence", "Candidacy", "Chair", "Chart", "ClinicAlert", "Clocks", "Closure",
    "ConflictKind", "Consent", "ConsentMethod", "Container", "ContainerState", "CourseState", "Decision",
    "Delivery", "Diary", "DoseGap", "DoseOrder", "DrugClass", "DrugRecordRule", "DrugUse", "DrugUseKind", "DueMeasure",
    "DueReading", "DueState", "EmergencyAssessment", "EventGrades", "Finding", "FormGroup", "Group",
    "Indication", "InfusionRun", "LabelRow", "LabelStatus", "LeaveCheck", "Leaving", "LotBalance",
    "MaudsleySeverity", "MaudsleyStage", "Medicine", "MedicineList", "MedicineTrial", "MonitoringForm",
    "Movement", "Outcome", "Plan", "PlannedDose", "PreparedDose", "Priority", "RateChange", "RateStep", "Reading",
    "Resistance", "ReviewDecision", "ReviewKind", "Role", "Row", "Rule", "RuleAnswer", "SafetyPlan",
    "ScoreReading", "SecondCheck", "SessionState", "Setting", "Severity", "SignedNote", "SitePolicy",
    "Standing", "StateTable", "StopReason", "Transitioned", "TreatmentCourse", "TreatmentSession",
    "TrialOutcome", "TrialVerdict", "Verdict", "VisitStage", "WithdrawalMethod", "WorkItem", "WorkKind",
    "WorkupItem", "WorkupStatus", "act_on", "add_authorisation", "adverse_events", "after_missed_session",
    "aftercare_facts", "alert_from_finding", "alerts_from_score", "amend_screening", "answer_finding",
    "answer_rule", "arrive", "asked_for", "assess_candidacy", "assess_emergency", "attach_dose", "back_to_screen",
    "baseline", "block", "book", "booking_warnings", "cadences", "cancel", "changed_facts", "chart_facts",
    "chart_gates", "check_candidate", "check_consent", "check_dose", "check_facts", "check_gates",
    "check_second", "check_still_candidate", "check_witness", "clashes", "classes_of", "clear_to_leave",
    "clinic_markdown", "clocks", "close", "close_alert", "closing_time", "correct_reading", "count",
    "countersign_order", "demo_policy", "dose_facts", "dose_notes", "draft_policy", "drug_classes",
    "drug_record_rule", "drug_record_rules", "due_by_plan", "due_measures", "due_readings", "earliest_leave",
    "end_booking", "enrolment_duties", "enter_reading", "escalate", "escalations", "event_grades", "explain",
    "fact_kinds", "fastest_rate", "find_conflicts", "finish_dose", "first_dose_at", "form_due_at", "give_back",
    "give_consent", "give_device", "go", "grade_event", "hand_over", "has_consent", "hold", "in_label_table",
    "is_falling", "is_overridable", "is_reconciled", "is_within_order", "judge_aftercare", "judge_gates",
    "judge_leaving", "judge_monitoring", "judge_planned", "judge_rate", "judge_reading", "judge_resistance",
    "judge_trial", "known_facts", "label_row", "label_rows", "label_status", "latest_facts", "leave_facts", "list_work",
    "login", "lot_balance", "make_safety_plan", "maudsley_stage", "medicine_facts", "monitoring_facts",
    "monitoring_form", "move_booking", "move_course", "next_device_at", "next_free", "open_findings",
    "order_dose", "order_rate", "overstay", "owns_alert", "phase", "policy_at", "policy_digest", "policy_facts",
    "policy_settings", "prepare_dose", "priority_of", "raise_alert", "ran_minutes", "rates_of", "read_alert",
    "read_score", "reading_facts", "reading_limits", "receive", "reconcile", "record_event", "record_review",
    "registers_markdown", "resistance_facts", "response_time", "resume", "reviews_due", "rule", "rules",
    "rules_of", "screen", "sessions_in_induction", "set_plan", "set_rate", "setting", "sign_note",
    "sign_policy", "sign_second", "sources", "staging", "standing_readings", "start_dose", "stop", "take_drug",
    "transfer", "treatment_week", "unclassified", "undo_miss", "undo_no_show", "units_left", "use_unit",
    "visit_stages", "void_event", "walk_out", "walk_out_alert", "waste", "waste_drawn", "waste_rest",
    "withdraw_consent", "workup_items",
]

if TYPE_CHECKING:
    from afterglow.clinic.acting import (
        Act,
        Outcome,
        Role,
        Row,
        StateTable,
        Transitioned,
        check_witness,
        login,
    )
    from afterglow.clinic.aftercare import (
        ASKED_LATER,
        aftercare_facts,
        judge_aftercare,
        sessions_in_induction,
    )
    from afterglow.clinic.alerts import (
        ALERT,
        AlertStage,
        ClinicAlert,
        act_on,
        alert_from_finding,
        alerts_from_score,
        close_alert,
        closing_time,
        escalate,
        hand_over,
        owns_alert,
        raise_alert,
        read_alert,
        response_time,
        walk_out_alert,
    )
    from afterglow.clinic.candidacy import (
        Candidacy,
        WorkupStatus,
        asked_for,
        assess_candidacy,
        check_candidate,
        check_still_candidate,
    )
    from afterglow.clinic.closing import (
        close,
        form_due_at,
        give_back,
        grade_event,
        record_event,
        sign_note,
        void_event,
        waste,
    )
    from afterglow.clinic.consent import (
        add_authorisation,
        check_consent,
        give_consent,
        has_consent,
        units_left,
        use_unit,
        withdraw_consent,
    )
    from afterglow.clinic.containers import (
        CONTAINER,
        Container,
        ContainerState,
        LotBalance,
        Movement,
        count,
        explain,
        lot_balance,
        receive,
        waste_drawn,
        waste_rest,
    )
    from afterglow.clinic.course import (
        COURSE,
        Authorisation,
        BenefitReview,
        Consent,
        ConsentMethod,
        CourseState,
        Plan,
        ReviewDecision,
        ReviewKind,
        SafetyPlan,
        StopReason,
        TreatmentCourse,
        WithdrawalMethod,
    )
    from afterglow.clinic.diary import (
        BOOKING,
        Booking,
        BookingConflict,
        BookingState,
        Chair,
        Closure,
        ConflictKind,
        Diary,
        block,
        book,
        booking_warnings,
        clashes,
        end_booking,
        find_conflicts,
        move_booking,
        overstay,
        undo_no_show,
    )
    from afterglow.clinic.dose_rules import (
        PlannedDose,
        dose_facts,
        fastest_rate,
        in_label_table,
        is_within_order,
        judge_planned,
    )
    from afterglow.clinic.dosing import (
        BodyWeight,
        DoseOrder,
        PreparedDose,
        RateChange,
        RateStep,
        SecondCheck,
        check_dose,
        check_second,
        prepare_dose,
        sign_second,
    )
    from afterglow.clinic.ending import finish_dose, stop
    from afterglow.clinic.factbook import (
        check_facts,
        fact_kinds,
        known_facts,
    )
    from afterglow.clinic.free_times import next_free
    from afterglow.clinic.gates import (
        Chart,
        chart_facts,
        chart_gates,
        check_gates,
        judge_gates,
        treatment_week,
    )
    from afterglow.clinic.giving import (
        give_device,
        hold,
        next_device_at,
        ran_minutes,
        resume,
        start_dose,
        take_drug,
    )
    from afterglow.clinic.leaving import (
        LeaveCheck,
        clear_to_leave,
        judge_leaving,
        leave_facts,
        transfer,
        walk_out,
    )
    from afterglow.clinic.measures import (
        Cadence,
        DueMeasure,
        ScoreReading,
        cadences,
        due_measures,
        read_score,
    )
    from afterglow.clinic.medicines import (
        Allergies,
        AllergyStatus,
        Medicine,
        MedicineList,
        changed_facts,
        classes_of,
        is_reconciled,
        medicine_facts,
        reconcile,
        unclassified,
    )
    from afterglow.clinic.monitoring import (
        Clocks,
        DueReading,
        DueState,
        clocks,
        due_readings,
        earliest_leave,
        first_dose_at,
        is_falling,
        judge_monitoring,
        monitoring_facts,
        phase,
    )
    from afterglow.clinic.moves import (
        after_missed_session,
        make_safety_plan,
        move_course,
        record_review,
        reviews_due,
        set_plan,
    )
    from afterglow.clinic.policy import (
        SitePolicy,
        demo_policy,
        draft_policy,
        policy_at,
        policy_facts,
        policy_settings,
        setting,
        sign_policy,
    )
    from afterglow.clinic.readings import (
        assess_emergency,
        baseline,
        correct_reading,
        enter_reading,
        escalations,
        judge_reading,
        latest_facts,
        reading_facts,
        reading_limits,
    )
    from afterglow.clinic.reference import (
        clinic_markdown,
    )
    from afterglow.clinic.registers import (
        DrugRecordRule,
        EventGrades,
        FormGroup,
        MonitoringForm,
        VisitStage,
        adverse_events,
        drug_record_rule,
        drug_record_rules,
        enrolment_duties,
        event_grades,
        monitoring_form,
        registers_markdown,
        visit_stages,
    )
    from afterglow.clinic.resistance import (
        Indication,
        LabelRow,
        LabelStatus,
        MaudsleySeverity,
        MaudsleyStage,
        MedicineTrial,
        Resistance,
        TrialOutcome,
        TrialVerdict,
        dose_notes,
        judge_resistance,
        judge_trial,
        label_row,
        label_rows,
        label_status,
        maudsley_stage,
        resistance_facts,
        staging,
    )
    from afterglow.clinic.rulebook import (
        Delivery,
        DrugClass,
        Group,
        Rule,
        Severity,
        WorkupItem,
        drug_classes,
        rule,
        rules,
        rules_of,
        sources,
        workup_items,
    )
    from afterglow.clinic.ruling import (
        Decision,
        Finding,
        Priority,
        RuleAnswer,
        Verdict,
        answer_rule,
        is_overridable,
        open_findings,
        priority_of,
    )
    from afterglow.clinic.screening import (
        amend_screening,
        answer_finding,
        arrive,
        attach_dose,
        back_to_screen,
        cancel,
        countersign_order,
        go,
        order_dose,
        screen,
        undo_miss,
    )
    from afterglow.clinic.session import (
        SESSION,
        AdverseEvent,
        DoseGap,
        DrugUse,
        DrugUseKind,
        EmergencyAssessment,
        InfusionRun,
        Leaving,
        Reading,
        SessionState,
        SignedNote,
        TreatmentSession,
        policy_digest,
        standing_readings,
    )
    from afterglow.clinic.thresholds import (
        Setting,
    )
    from afterglow.clinic.titration import (
        judge_rate,
        order_rate,
        rates_of,
        set_rate,
    )
    from afterglow.clinic.worklist import (
        INDUCED,
        Standing,
        WorkItem,
        WorkKind,
        due_by_plan,
        list_work,
    )
# fmt: on


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'afterglow.clinic' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
