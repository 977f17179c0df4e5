/*
 * GroupRecords.java - a formatter of Kafka's console consumer: every record of __consumer_offsets, decoded by the code
 * of Kafka's group coordinator. Kafka's tools bring one for each of the others, but none for those of consumer groups.
 */
import com.fasterxml.jackson.databind.JsonNode;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.coordinator.group.GroupCoordinatorRecordSerde;
import org.apache.kafka.coordinator.group.generated.CoordinatorRecordJsonConverters;
import org.apache.kafka.tools.consumer.CoordinatorRecordMessageFormatter;

public class GroupRecords extends CoordinatorRecordMessageFormatter {
    public GroupRecords() {
        super(new GroupCoordinatorRecordSerde());
    }

    @Override
    protected boolean isRecordTypeAllowed(short type) {
        return true;
    }

    @Override
    protected JsonNode keyAsJson(ApiMessage key) {
        return CoordinatorRecordJsonConverters.writeRecordKeyAsJson(key);
    }

    @Override
    protected JsonNode valueAsJson(ApiMessage value, short version) {
        return CoordinatorRecordJsonConverters.writeRecordValueAsJson(value, version);
    }
}
