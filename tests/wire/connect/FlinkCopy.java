/*
 * FlinkCopy.java - a Flink job from topic to topic in a cluster inside this process:
 *
 *     java -cp LIBS FlinkCopy BOOTSTRAP FROM TO CHECKPOINTS bounded|unbounded NAMING [SAVEPOINT]
 *
 * Values go through unchanged, exactly once: in transactions that are named by NAMING (INCREMENTING or POOLING), one
 * a checkpoint. SAVEPOINT is a checkpoint that an earlier life left in CHECKPOINTS. "bounded" ends at the end that
 * FROM has when it starts.
 */
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.common.serialization.StringDeserializer;
import java.time.Duration;

public class FlinkCopy {
    private static final Duration CHECKPOINT = Duration.ofMillis(300);

    public static void main(String[] words) throws Exception {
        Configuration settings = new Configuration();
        settings.set(CheckpointingOptions.CHECKPOINTS_DIRECTORY, "file://" + words[3]);
        settings.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, CHECKPOINT);
        settings.set(CheckpointingOptions.MAX_RETAINED_CHECKPOINTS, 3);
        settings.set(CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION,
                ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION);
        settings.set(TaskManagerOptions.NETWORK_MEMORY_MIN, MemorySize.ofMebiBytes(16));
        settings.set(TaskManagerOptions.NETWORK_MEMORY_MAX, MemorySize.ofMebiBytes(16));
        settings.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(16));
        // A broker that is gone for a while fails the job, which then begins at its last checkpoint.
        settings.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
        settings.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, 1000);
        settings.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ofMillis(500));
        if (words.length > 6)
            settings.set(StateRecoveryOptions.SAVEPOINT_PATH, words[6]);

        StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment(settings);
        environment.setParallelism(2);
        KafkaSourceBuilder<String> source = KafkaSource.<String>builder()
                .setBootstrapServers(words[0])
                .setTopics(words[1])
                .setGroupId("flink-" + words[1])
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setDeserializer(KafkaRecordDeserializationSchema.valueOnly(StringDeserializer.class))
                .setProperty("isolation.level", "read_committed")
                .setProperty("partition.discovery.interval.ms", "1000");
        if (words[4].equals("bounded"))
            source.setBounded(OffsetsInitializer.latest());
        KafkaSink<String> sink = KafkaSink.<String>builder()
                .setBootstrapServers(words[0])
                .setRecordSerializer(KafkaRecordSerializationSchema.builder()
                        .setTopic(words[2])
                        .setValueSerializationSchema(new SimpleStringSchema())
                        .build())
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix("flink-" + words[2])
                .setTransactionNamingStrategy(TransactionNamingStrategy.valueOf(words[5]))
                .setProperty("transaction.timeout.ms", "120000")
                .build();
        environment.fromSource(source.build(), WatermarkStrategy.noWatermarks(), "from").sinkTo(sink);
        environment.execute("copy");
    }
}
